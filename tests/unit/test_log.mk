test_log_SRCS := $(addprefix agentclient/observe/,log.c audit.c sink.c format.c) agentclient/policy/text.c
test_log_LIBS := -ljansson -lpthread
