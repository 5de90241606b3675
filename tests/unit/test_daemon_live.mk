include tests/unit/test_daemon_control.mk
test_daemon_live_SRCS := $(DAEMON_SRCS)
test_daemon_live_LIBS := $(DAEMON_LIBS)
