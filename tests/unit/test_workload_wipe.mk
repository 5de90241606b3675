include tests/unit/test_devagent.mk
test_workload_wipe_SRCS := $(DEVAGENT_SRCS)
test_workload_wipe_LIBS := $(WORKLOAD_LIBS)
test_workload_wipe_GEN := workload.pb-c.o
