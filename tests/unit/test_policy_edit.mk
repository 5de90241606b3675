include tests/unit/test_policy.mk
test_policy_edit_SRCS := $(POLICY_SRCS)
test_policy_edit_LIBS := $(POLICY_LIBS)
