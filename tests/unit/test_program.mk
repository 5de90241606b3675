test_program_SRCS := agentclient/cli/program.c agentclient/cli/program_elf.c
test_program_LIBS :=
