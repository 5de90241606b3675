fuzz_conn_SRCS := $(wildcard shim/conn*.c) shim/lock.c shim/libc.c
fuzz_conn_LIBS := -lcrypto -lpthread
