"""What a job is and how it ends: values, decisions and ports. Pure: no database, broker, process or clock."""
