test_relay_linger_SRCS := $(wildcard agentclient/relay/*.c) $(filter-out shim/conn_memory.c shim/conn_pages.c,$(wildcard shim/conn*.c)) shim/record/record.c shim/lock.c shim/libc.c tests/unit/support_conn.c tests/unit/support_tls.c
test_relay_linger_LIBS := -lssl -lcrypto -lpthread
