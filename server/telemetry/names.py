"""Names by OpenTelemetry's semantic conventions for RPC (and gRPC), errors and processes.

Written out, since the package that lists them keeps them among what may still move.
"""

RPC_SERVER_CALL_DURATION = "rpc.server.call.duration"
RPC_SYSTEM_NAME = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_RESPONSE_STATUS_CODE = "rpc.response.status_code"
ERROR_TYPE = "error.type"
PROCESS_UPTIME = "process.uptime"
