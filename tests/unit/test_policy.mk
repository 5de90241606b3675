POLICY_SRCS := $(wildcard agentclient/policy/*.c) \
               agentclient/identity/spiffeid.c
POLICY_LIBS := -lyaml -ljansson
test_policy_SRCS := $(POLICY_SRCS)
test_policy_LIBS := $(POLICY_LIBS)
