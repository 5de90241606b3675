fuzz_config_SRCS := $(addprefix agentclient/policy/,policy.c rule.c reader.c values.c address.c compile.c modes.c expand.c pattern.c yaml.c text.c pool.c describe.c) \
                    agentclient/identity/spiffeid.c
fuzz_config_LIBS := -lyaml -ljansson
