int crc(void);
