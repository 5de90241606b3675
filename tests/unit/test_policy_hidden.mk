include tests/unit/test_policy.mk
test_policy_hidden_SRCS := $(POLICY_SRCS)
test_policy_hidden_LIBS := $(POLICY_LIBS)
