import Testing
import TestSupport
@testable import WAL

@Suite struct FrameStreamTests {
    /// However the bytes are cut, each piece has the frames that begin in it, over epochs and ends of pieces.
    @Test(arguments: 0..<100) func howeverBytesAreCutTheSameFramesBeginInThem(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (bytes, epochs, starts) = FrameRunTests.log(&random)
        var stream = FrameStream(logID: FrameRunTests.logID, epochs: epochs, start: .zero)
        var position = 0
        while position < bytes.count {
            let end = min(bytes.count, position + Int.random(in: 1...2000, using: &random))
            let begun = try stream.add(bytes[position..<end])
            let expected = starts.filter { (position..<end).contains($0) }.map { LSN(UInt64($0)) }
            #expect(begun?.first == expected.first && begun?.last == expected.last && begun?.count ?? 0 == UInt64(expected.count), "seed \(seed), \(position) to \(end)")
            position = end
            #expect(stream.end == LSN(UInt64(end)))
            // The same place, whoever goes on from it.
            #expect(stream.continued(logID: FrameRunTests.logID, epochs: epochs).end == stream.end)
        }
        #expect(stream.position == LSN(UInt64(bytes.count)))
    }

    /// A flipped bit is damage at its frame, or, where it makes the frame seem longer than what there is, the frame never gets whole.
    @Test(arguments: 0..<100) func noFlippedBitIsPassed(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed + 1000)
        let (whole, epochs, starts) = FrameRunTests.log(&random)
        var bytes = whole
        let bit = Int.random(in: 0..<bytes.count * 8, using: &random)
        bytes[bit / 8] ^= 1 << (bit % 8)
        let frame = LSN(UInt64(starts.last { $0 <= bit / 8 } ?? 0))
        var stream = FrameStream(logID: FrameRunTests.logID, epochs: epochs, start: .zero)
        var position = 0
        do throws(WALError) {
            while position < bytes.count {
                let end = min(bytes.count, position + Int.random(in: 1...3000, using: &random))
                _ = try stream.add(bytes[position..<end])
                position = end
            }
            #expect(stream.position == frame, "seed \(seed), bit \(bit)")
        } catch {
            guard case .corruption(let lsn, _) = error else { throw error }
            #expect(lsn == frame, "seed \(seed), bit \(bit)")
        }
    }
}
