PROGRAM_SRCS := $(addprefix agentclient/cli/,program.c program_elf.c program_elf_dynamic.c program_elf_text.c program_judge.c program_libs.c program_libs_judge.c program_cache.c program_surroundings.c program_shim.c findings.c) shim/guard.c
test_program_SRCS := $(PROGRAM_SRCS)
test_program_LIBS := -ljansson
