include tests/unit/test_policy.mk
test_policy_patterns_SRCS := $(POLICY_SRCS)
test_policy_patterns_LIBS := $(POLICY_LIBS)
