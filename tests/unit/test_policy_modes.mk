include tests/unit/test_policy.mk
test_policy_modes_SRCS := $(POLICY_SRCS)
test_policy_modes_LIBS := $(POLICY_LIBS)
