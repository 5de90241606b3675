test_workload_endpoint_SRCS := agentclient/workload/endpoint.c
