fuzz_elf_SRCS := $(addprefix agentclient/cli/,program_elf.c program_elf_dynamic.c program_elf_text.c program_judge.c findings.c)
fuzz_elf_LIBS := -ljansson
