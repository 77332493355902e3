internal import Synchronization

/// Arrays as large as segments that are used again: memory that comes fresh from the system has to be cleared by it first, which takes as long as
/// filling it. Holds a bounded number of them, until it goes. Safe from any thread.
package final class BlockPool: Sendable {
    private let idle = Mutex<[[UInt8]]>([])
    private let countMax: Int

    /// How many arrays nobody uses now.
    var idleCount: Int { idle.withLock { $0.count } }

    /// Holds nothing.
    package static let empty = BlockPool(countMax: 0)

    /// `countMax`: how many arrays it holds at most while nobody uses them.
    package init(countMax: Int) {
        precondition(countMax >= 0, "a pool for \(countMax) arrays")
        self.countMax = countMax
    }

    /// As `Array.init(unsafeUninitializedCapacity:initializingWith:)`, in memory that was given where there is some.
    @unsafe package func array(
        capacity: Int, initializingWith initializer: (_ buffer: inout UnsafeMutableBufferPointer<UInt8>, _ initialized: inout Int) -> Void
    ) -> [UInt8] {
        guard var bytes = idleArray(capacity) else {
            return unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in unsafe initializer(&buffer, &initialized) }
        }
        if bytes.count < capacity { bytes.append(contentsOf: repeatElement(0, count: capacity - bytes.count)) }
        var initialized = 0
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var part = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<capacity])
            unsafe initializer(&part, &initialized)
        }
        bytes.removeLast(bytes.count - initialized)
        return bytes
    }

    private func idleArray(_ capacity: Int) -> [UInt8]? {
        idle.withLock { idle in
            idle.firstIndex { $0.capacity >= capacity }.map { idle.remove(at: $0) }
        }
    }

    /// Takes an array that nobody needs any more. Where somebody has it after all, it is copied when it is used again.
    package func give(_ bytes: consuming [UInt8]) {
        let bytes = bytes
        idle.withLock { idle in
            guard idle.count < countMax else { return }
            idle.append(bytes)
        }
    }
}
