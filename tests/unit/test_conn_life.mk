test_conn_life_SRCS := $(wildcard shim/conn*.c) shim/record/record.c shim/lock.c shim/libc.c tests/unit/support_conn.c tests/unit/support_tls.c
test_conn_life_LIBS := -lssl -lcrypto -lpthread
