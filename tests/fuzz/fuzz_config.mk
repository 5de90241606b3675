fuzz_config_SRCS := $(wildcard agentclient/policy/*.c) \
                    agentclient/identity/spiffeid.c
fuzz_config_LIBS := -lyaml -ljansson
