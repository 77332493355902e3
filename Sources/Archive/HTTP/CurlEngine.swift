internal import Synchronization

/// Makes HTTP transfers: one thread named `walship-curl`, started by the first request, owns libcurl's multi handle and with it
/// all connections, which are kept alive and used again.
///
/// Owns the thread and every C handle through `CurlLoop`; knows nothing of stores, statuses or retries. Safe from any task.
/// The thread ends at `shutdown()` or, at the latest, when the last reference to the engine goes: nothing can be in flight
/// then, because each `perform` holds one.
package final class CurlEngine: Sendable {
    private let loop: CurlLoop
    private let settings: HTTPSettings
    private let nextID = Atomic<UInt64>(0)

    package init(settings: HTTPSettings) throws(ArchiveError) {
        try settings.validate()
        self.settings = settings
        self.loop = CurlLoop(transfersMax: settings.transfersMax, pace: settings.sendBytesPerSecondMax.map { SendPace(bytesPerSecond: $0) })
    }

    deinit { loop.requestStop() }

    /// One request, one reply, whatever its status. At most `transfersMax` run; further ones wait for their turn within
    /// their own deadline. Cancelling the task ends the transfer and closes its connection.
    ///
    /// Throws `.unreachable` (no connection, no complete reply in time), `.refused` (the reply is larger than the request's limit),
    /// `.cancelled` (also after `shutdown`), `.invalid` (a setting or URL that libcurl refuses). The outcome is `.unknown` when
    /// the request had begun to go out and its method changes something.
    package func perform(_ request: HTTPRequest) async throws(ArchiveError) -> HTTPResponse {
        let transfer = CurlTransfer(
            id: nextID.wrappingAdd(1, ordering: .relaxed).newValue, request: request, settings: settings, pace: loop.pace,
            deadline: .now + (request.timeout ?? settings.requestTime(ofBody: request.body?.count ?? 0)))
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.submit(transfer, continuation)
            }
        } onCancel: {
            loop.cancel(transfer)
        }
        return try result.get()
    }

    /// Ends all transfers with `.cancelled`, closes all connections, and returns when the thread has let go of them. Requests
    /// made afterwards are `.cancelled` at once. Calling it again is harmless.
    package func shutdown() async {
        await withCheckedContinuation { continuation in
            loop.requestStop { continuation.resume() }
        }
    }
}
