/** Envoy's default format, for a log that says nothing of its own. */
export const defaultTextFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'

/** The fields of Istio's JSON access log (istio.io: Envoy Access Logs, default format). */
export const defaultJsonFields: readonly { readonly name: string; readonly format: string }[] = [
  { name: 'start_time', format: '%START_TIME%' },
  { name: 'method', format: '%REQ(:METHOD)%' },
  { name: 'path', format: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%' },
  { name: 'protocol', format: '%PROTOCOL%' },
  { name: 'response_code', format: '%RESPONSE_CODE%' },
  { name: 'response_flags', format: '%RESPONSE_FLAGS%' },
  { name: 'response_code_details', format: '%RESPONSE_CODE_DETAILS%' },
  { name: 'connection_termination_details', format: '%CONNECTION_TERMINATION_DETAILS%' },
  { name: 'upstream_transport_failure_reason', format: '%UPSTREAM_TRANSPORT_FAILURE_REASON%' },
  { name: 'bytes_received', format: '%BYTES_RECEIVED%' },
  { name: 'bytes_sent', format: '%BYTES_SENT%' },
  { name: 'duration', format: '%DURATION%' },
  { name: 'upstream_service_time', format: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%' },
  { name: 'x_forwarded_for', format: '%REQ(X-FORWARDED-FOR)%' },
  { name: 'user_agent', format: '%REQ(USER-AGENT)%' },
  { name: 'request_id', format: '%REQ(X-REQUEST-ID)%' },
  { name: 'authority', format: '%REQ(:AUTHORITY)%' },
  { name: 'upstream_host', format: '%UPSTREAM_HOST%' },
  { name: 'upstream_cluster', format: '%UPSTREAM_CLUSTER%' },
  { name: 'upstream_local_address', format: '%UPSTREAM_LOCAL_ADDRESS%' },
  { name: 'downstream_local_address', format: '%DOWNSTREAM_LOCAL_ADDRESS%' },
  { name: 'downstream_remote_address', format: '%DOWNSTREAM_REMOTE_ADDRESS%' },
  { name: 'requested_server_name', format: '%REQUESTED_SERVER_NAME%' },
  { name: 'route_name', format: '%ROUTE_NAME%' },
]
