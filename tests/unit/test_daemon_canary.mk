include tests/unit/test_daemon_control.mk
test_daemon_canary_SRCS := $(DAEMON_SRCS)
test_daemon_canary_LIBS := $(DAEMON_LIBS)
