"""http-01 through webroots: challenge files in a folder of this machine or, over SFTP, of another one."""
