import { transcriptContract } from './transcriptContract';

transcriptContract('1.28.3');
