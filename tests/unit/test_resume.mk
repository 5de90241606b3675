include tests/unit/test_handshake.mk
test_resume_SRCS := $(HANDSHAKE_SRCS) tests/unit/support_resume.c
test_resume_LIBS := $(HANDSHAKE_LIBS)
