include tests/unit/test_policy.mk
test_policy_schema_SRCS := $(POLICY_SRCS)
test_policy_schema_LIBS := $(POLICY_LIBS)
