test_conn_pages_SRCS := shim/conn_pages.c
