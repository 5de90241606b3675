include tests/unit/test_daemon_control.mk
test_daemon_admin_SRCS := $(DAEMON_SRCS)
test_daemon_admin_LIBS := $(DAEMON_LIBS)
