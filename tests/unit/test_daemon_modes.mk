include tests/unit/test_daemon_control.mk
test_daemon_modes_SRCS := $(DAEMON_SRCS)
test_daemon_modes_LIBS := $(DAEMON_LIBS)
