include tests/unit/test_daemon_control.mk
test_rules_table_SRCS := $(DAEMON_SRCS)
test_rules_table_LIBS := $(DAEMON_LIBS)
