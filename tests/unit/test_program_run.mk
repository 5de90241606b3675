include tests/unit/test_policy.mk tests/unit/test_program.mk
test_program_run_SRCS := $(addprefix agentclient/cli/,run.c writable.c agent.c config.c explain.c version.c) $(PROGRAM_SRCS) \
                         agentclient/workload/endpoint.c $(POLICY_SRCS)
test_program_run_LIBS := $(POLICY_LIBS)
