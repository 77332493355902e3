/// Limits of the HTTP side that no setting changes, each with its reason.
package enum HTTPLimits {
    /// Bytes kept of the body of a reply that is no success: enough for any server's error document, not for a flood.
    package static let errorBodyMax = 64 << 10
    /// For removing temporary names after a failure or a cancellation: a few requests, and no longer than somebody waits who has asked for the end.
    package static let tidyingMax: Duration = .seconds(3)
    /// Bytes of all header lines of one reply: servers themselves stop at 8 to 64 KiB.
    package static let responseHeadersMax = 128 << 10
    /// Bytes of one PROPFIND reply: about a hundred thousand entries.
    package static let multistatusMax = 64 << 20
    /// Entries one listing may give: ten years of closed 16 MiB segments at one in five minutes.
    package static let listedKeysMax = 1 << 20
    /// Collections below each other that a listing follows; our layout has four.
    package static let collectionDepthMax = 16
    /// The most a server can make us wait through Retry-After, in seconds: one day.
    package static let retryAfterMax = 86_400
    /// libcurl's buffers per transfer, in bytes: larger ones than its default of 16 and 64 KiB save system calls.
    package static let receiveBuffer = 256 << 10
    package static let sendBuffer = 256 << 10
    /// Bytes per second that a bandwidth limit may be at least: 128 transfers at a time still get a piece each within ten seconds, well before any
    /// of them counts as standing still.
    package static let sendRateMin = 64 << 10
    /// Temporary names of failed uploads that are kept to be deleted once more: a few per transfer, over an outage.
    package static let abandonedNamesMax = 64
}
