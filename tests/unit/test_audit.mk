test_audit_SRCS := $(addprefix agentclient/observe/,log.c audit.c sink.c format.c) agentclient/policy/text.c
test_audit_LIBS := -ljansson -lpthread
