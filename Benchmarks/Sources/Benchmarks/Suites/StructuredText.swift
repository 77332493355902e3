/// Lines as services log them: the same words again and again, with numbers that are never the same. zstd makes about a quarter of them.
struct StructuredText: Sendable {
    /// Each a line without its newline.
    let lines: [[UInt8]]

    /// At least `bytes` of lines, the same for the same seed.
    init(bytes: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let services = ["orders", "payments", "stock", "mail", "accounts"]
        let paths = ["/api/v1/orders", "/api/v1/orders/items", "/api/v2/customers", "/health", "/api/v1/payments/refunds"]
        let messages = [
            "request completed", "cache miss, reading from the database", "retrying after a timeout of the upstream service", "order accepted",
            "stock reserved until the payment is confirmed",
        ]
        var lines: [[UInt8]] = []
        var count = 0
        var time: UInt64 = 1_790_000_000_000
        while count < bytes {
            time += generator.next() % 20
            let line = """
                {"time":\(time),"service":"\(services.randomElement(using: &generator)!)","trace":"\(String(generator.next(), radix: 16))",\
                "user":\(generator.next() % 1_000_000),"path":"\(paths.randomElement(using: &generator)!)/\(generator.next() % 100_000)",\
                "status":\([200, 200, 200, 201, 404, 500].randomElement(using: &generator)!),"ms":\(generator.next() % 900),\
                "message":"\(messages.randomElement(using: &generator)!)"}
                """
            lines.append(Array(line.utf8))
            count += line.utf8.count
        }
        self.lines = lines
    }

    /// Further than any compression level in use here looks back.
    static let shared = StructuredText(bytes: 64 << 20, seed: 1)
}
