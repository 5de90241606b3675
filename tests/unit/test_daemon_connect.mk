include tests/unit/test_daemon_control.mk
test_daemon_connect_SRCS := $(DAEMON_SRCS)
test_daemon_connect_LIBS := $(DAEMON_LIBS)
