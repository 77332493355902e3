import Testing

@testable import Follower

@Suite struct DownloadWindowTests {
    /// All orders in which downloads can begin and be written, of objects of sizes below, at and above the limit.
    @Test func neverMoreThanTheLimitsAndNeverStuck() {
        for sizes in [[], [1], [4, 4, 4, 4], [9, 1, 1, 9, 1], [10, 10], [30, 1, 30], [1, 1, 1, 1, 1, 1, 1]] as [[UInt64]] {
            for countMax in 1...4 {
                var window = DownloadWindow(sizes, countMax: countMax, bytesMax: 10)
                var begun = 0
                var written = 0
                while !window.isDone {
                    while let index = window.begin() {
                        #expect(index == begun)
                        begun += 1
                        let underWay = sizes[written..<begun].reduce(0, +)
                        #expect(begun - written <= countMax && (underWay <= 10 || begun - written == 1), "\(sizes), \(countMax) at one time")
                    }
                    #expect(begun > written, "\(sizes), \(countMax) at one time: stuck")
                    guard begun > written else { break }
                    #expect(window.turn == written)
                    window.wrote()
                    written += 1
                }
                #expect(written == sizes.count && window.begin() == nil)
            }
        }
    }

    @Test func theLimitsFitTogether() {
        #expect((1...RestoreLimits.downloadsMax).contains(RestoreLimits.downloads))
        // The default number of segments of the default size are under way at one time.
        #expect(UInt64(RestoreLimits.downloads) * (16 << 20) <= RestoreLimits.downloadBytesMax)
    }
}
