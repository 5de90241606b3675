include tests/unit/test_policy.mk
test_policy_explain_SRCS := $(POLICY_SRCS)
test_policy_explain_LIBS := $(POLICY_LIBS)
