import { transcriptContract } from './transcriptContract';

transcriptContract('1.24.0');
