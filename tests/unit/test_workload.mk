WORKLOAD_SRCS := $(wildcard agentclient/workload/*.c agentclient/identity/*.c) $(addprefix agentclient/observe/,log.c sink.c format.c) \
                 agentclient/policy/text.c $(filter-out %/main.c,$(wildcard agentclient/devagent/*.c))
WORKLOAD_LIBS := -lgrpc -lgpr -lprotobuf-c -lssl -lcrypto -lyaml -ljansson -lpthread
test_workload_SRCS := $(WORKLOAD_SRCS) tests/unit/support_workload.c
test_workload_LIBS := $(WORKLOAD_LIBS)
test_workload_GEN := workload.pb-c.o
