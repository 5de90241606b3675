fuzz_workload_SRCS := $(wildcard agentclient/identity/*.c) agentclient/workload/reply.c agentclient/workload/endpoint.c
fuzz_workload_GEN := workload.pb-c.o
fuzz_workload_LIBS := -lprotobuf-c -lssl -lcrypto
