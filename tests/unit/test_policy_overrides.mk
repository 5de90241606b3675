include tests/unit/test_policy.mk
test_policy_overrides_SRCS := $(POLICY_SRCS)
test_policy_overrides_LIBS := $(POLICY_LIBS)
