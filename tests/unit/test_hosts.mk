test_hosts_SRCS := shim/hosts.c shim/lock.c shim/libc.c
test_hosts_LIBS := -lpthread
