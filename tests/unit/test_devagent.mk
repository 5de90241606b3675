include tests/unit/test_workload.mk
DEVAGENT_SRCS := $(WORKLOAD_SRCS) agentclient/devagent/main.c tests/unit/support_workload.c tests/unit/support_devagent.c
test_devagent_SRCS := $(DEVAGENT_SRCS)
test_devagent_LIBS := $(WORKLOAD_LIBS)
test_devagent_GEN := workload.pb-c.o
test_devagent_attest_SRCS := $(DEVAGENT_SRCS)
test_devagent_attest_LIBS := $(WORKLOAD_LIBS)
test_devagent_attest_GEN := workload.pb-c.o
