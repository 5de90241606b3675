DAEMON_SRCS := $(filter-out %/daemon.c,$(wildcard agentclient/daemon/*.c)) \
               $(wildcard agentclient/handshake/*.c agentclient/identity/*.c agentclient/policy/*.c agentclient/observe/*.c) \
               agentclient/workload/endpoint.c $(wildcard agentclient/relay/*.c) shim/record/record.c shim/lock.c shim/libc.c \
               $(filter-out shim/conn_memory.c shim/conn_pages.c,$(wildcard shim/conn*.c)) tests/unit/support_pki.c tests/unit/support_daemon.c
DAEMON_LIBS := -lssl -lcrypto -levent_extra -levent_core -lyaml -ljansson -lpthread
test_daemon_control_SRCS := $(DAEMON_SRCS)
test_daemon_control_LIBS := $(DAEMON_LIBS)
