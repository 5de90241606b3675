include tests/unit/test_daemon_control.mk
test_daemon_hosts_SRCS := $(DAEMON_SRCS)
test_daemon_hosts_LIBS := $(DAEMON_LIBS)
