include tests/unit/test_daemon_control.mk
test_daemon_listen_SRCS := $(DAEMON_SRCS)
test_daemon_listen_LIBS := $(DAEMON_LIBS)
