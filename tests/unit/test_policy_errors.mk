include tests/unit/test_policy.mk
test_policy_errors_SRCS := $(POLICY_SRCS)
test_policy_errors_LIBS := $(POLICY_LIBS)
