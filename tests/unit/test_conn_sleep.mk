test_conn_sleep_SRCS := $(wildcard shim/conn*.c) shim/record/record.c shim/lock.c shim/libc.c tests/unit/support_conn.c tests/unit/support_tls.c
test_conn_sleep_LIBS := -lssl -lcrypto -lpthread
