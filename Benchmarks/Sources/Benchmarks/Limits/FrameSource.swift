import CLimits

/// What limits (a) and (b) make frames of: a payload, with room before it for the rest of what a frame's checksum covers. One thread.
final class FrameSource {
    let payloadCount: Int
    let source: UnsafeMutablePointer<UInt8>
    /// Room for one frame.
    let frame: UnsafeMutablePointer<UInt8>

    init(payload: [UInt8]) {
        payloadCount = payload.count
        source = .allocate(capacity: Int(LIMITS_SOURCE_HEADER) + payload.count)
        source.initialize(repeating: 0, count: Int(LIMITS_SOURCE_HEADER) + payload.count)
        for (index, byte) in payload.enumerated() { source[Int(LIMITS_SOURCE_HEADER) + index] = byte }
        let frameCount = Int(LIMITS_FRAME_HEADER) + payload.count
        frame = .allocate(capacity: frameCount)
        frame.initialize(repeating: 0, count: frameCount)
    }

    deinit {
        source.deallocate()
        frame.deallocate()
    }
}
