POLICY_SRCS := $(addprefix agentclient/policy/,policy.c rule.c reader.c values.c address.c compile.c modes.c expand.c pattern.c yaml.c text.c pool.c describe.c) \
               agentclient/identity/spiffeid.c
POLICY_LIBS := -lyaml -ljansson
test_policy_SRCS := $(POLICY_SRCS)
test_policy_LIBS := $(POLICY_LIBS)
